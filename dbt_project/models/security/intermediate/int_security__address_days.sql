with access_logs as (

    select * from {{ ref('stg_security__access_logs') }}

),

minutes as (

    select
        ip,
        requested_on,
        date_trunc('minute', requested_at) as requested_minute,
        count(requested_at) as request_count
    from access_logs
    group by ip, requested_on, date_trunc('minute', requested_at)

),

bursts as (

    select
        ip,
        requested_on,
        max(request_count) as largest_minute
    from minutes
    group by ip, requested_on

),

totals as (

    select
        ip,
        requested_on,
        count(requested_at) as request_count,
        count(requested_at) filter (where status >= 400) as error_count,
        count(requested_at) filter (where browser = 'bot') as bot_count,
        count(requested_at) filter (where route = 'connexion' and status in (401, 403)) as failed_login_count,
        count(distinct pseudonym) as member_count,
        min(ends_on) as ends_on
    from access_logs
    group by ip, requested_on

),

address_days as (

    select
        totals.ip,
        totals.requested_on,
        totals.request_count,
        totals.error_count,
        totals.bot_count,
        totals.failed_login_count,
        totals.member_count,
        bursts.largest_minute,
        totals.ends_on
    from totals
    inner join bursts on totals.ip = bursts.ip and totals.requested_on = bursts.requested_on

)

select * from address_days
