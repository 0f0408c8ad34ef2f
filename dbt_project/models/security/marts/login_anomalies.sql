with login_days as (

    select * from {{ ref('int_security__login_days') }}

),

judged as (

    select
        pseudonym,
        requested_on,
        request_count,
        address_count,
        most_addresses_in_an_hour,
        second_browser_count,
        impossible_switch_count,
        largest_night_burst,
        failed_login_count,
        ends_on,
        concat_ws(
            '; ',
            case when most_addresses_in_an_hour >= 5 then 'many addresses' end,
            case when second_browser_count > 0 then 'two browsers at once' end,
            case when impossible_switch_count > 0 then 'impossible switch' end,
            case when largest_night_burst >= 30 then 'night burst' end,
            case when failed_login_count >= 5 then 'failed logins' end
        ) as reasons
    from login_days

),

login_anomalies as (

    select
        pseudonym,
        requested_on,
        request_count,
        address_count,
        most_addresses_in_an_hour,
        second_browser_count,
        impossible_switch_count,
        largest_night_burst,
        failed_login_count,
        reasons,
        ends_on
    from judged
    where reasons <> ''

)

select * from login_anomalies
