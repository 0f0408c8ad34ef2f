with access_logs as (

    select * from {{ ref('stg_security__access_logs') }}

),

-- what came before a request of the same member: by all browsers, and by the same one
requests as (

    select
        pseudonym,
        ip,
        browser,
        route,
        status,
        requested_at,
        requested_on,
        ends_on,
        lag(browser, 1) over (partition by pseudonym order by requested_at, ip, browser) as browser_before,
        lag(browser, 2) over (partition by pseudonym order by requested_at, ip, browser) as browser_before_that,
        lag(requested_at, 2) over (partition by pseudonym order by requested_at, ip, browser) as requested_before_that,
        lag(ip, 1) over (partition by pseudonym, browser order by requested_at, ip) as ip_before,
        lag(ip, 2) over (partition by pseudonym, browser order by requested_at, ip) as ip_before_that,
        lag(requested_at, 2) over (partition by pseudonym, browser order by requested_at, ip) as requested_with_it,
        count(distinct ip) over (
            partition by pseudonym order by requested_at
            range between interval 1 hour preceding and current row
        ) as addresses_within_hour,
        count(requested_at) over (
            partition by pseudonym order by requested_at
            range between interval 10 minutes preceding and current row
        ) as requests_within_minutes
    from access_logs
    where pseudonym is not null

),

judged as (

    select
        pseudonym,
        ip,
        requested_at,
        requested_on,
        ends_on,
        addresses_within_hour,
        -- one browser, another, and the first again within ten minutes: who changes once has only sat down elsewhere
        coalesce(
            browser_before <> browser and browser_before_that = browser
            and requested_at <= requested_before_that + interval 10 minutes, false
        ) as is_second_browser,
        -- one browser at an address, at another and back within two minutes: nobody travels so
        coalesce(
            ip_before <> ip and ip_before_that = ip
            and requested_at <= requested_with_it + interval 2 minutes, false
        ) as is_impossible_switch,
        case
            when extract('hour' from requested_at) < 5 then requests_within_minutes else 0
        end as night_requests_within_minutes,
        coalesce(route = 'connexion' and status in (401, 403), false) as is_failed_login
    from requests

)

select * from judged
