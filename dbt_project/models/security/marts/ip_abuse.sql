with address_days as (

    select * from {{ ref('int_security__address_days') }}

),

judged as (

    select
        ip,
        requested_on,
        request_count,
        largest_minute as largest_minute_request_count,
        member_count,
        failed_login_count,
        ends_on,
        round(error_count / request_count, 3) as error_share,
        round(bot_count / request_count, 3) as bot_share,
        -- errors and bots are the noise of every server: they count from a number of requests on, never by their share,
        -- which grows when somebody who made none objects: a refusal must not add a row
        concat_ws(
            '; ',
            case when largest_minute >= 120 then 'burst' end,
            case when error_count >= 50 then 'errors' end,
            case when failed_login_count >= 10 then 'failed logins' end,
            case when member_count >= 10 then 'many members' end,
            case when bot_count >= 500 then 'bots' end
        ) as reasons
    from address_days

),

ip_abuse as (

    select
        ip,
        requested_on,
        request_count,
        error_share,
        bot_share,
        largest_minute_request_count,
        member_count,
        failed_login_count,
        reasons,
        ends_on
    from judged
    where reasons <> ''

)

select * from ip_abuse
