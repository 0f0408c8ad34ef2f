with usage_events as (

    select * from {{ ref('stg_analytics__usage_events') }}

),

access_logs as (

    select * from {{ ref('stg_analytics__access_logs') }}

),

-- an event has a time, a route and a device class for as long as access data live (C-10.1); afterwards it is no request
events_with_a_time as (

    select
        device_key,
        route,
        device_class,
        'usage' as source,
        occurred_at as requested_at,
        occurred_on as requested_on,
        coalesce(pseudonym, device_key) as pseudonym,
        pseudonym is null as is_visitor,
        least(ends_on, values_end_on) as ends_on
    from usage_events
    where coalesce(pseudonym, device_key) is not null and {{ alive('values_end_on') }}

),

log_rows as (

    select
        pseudonym,
        false as is_visitor,
        null::uuid as device_key,
        'log' as source,
        requested_at,
        requested_on,
        route,
        device_class,
        ends_on
    from access_logs

),

requests as (

    select
        pseudonym,
        is_visitor,
        device_key,
        source,
        requested_at,
        requested_on,
        route,
        device_class,
        ends_on
    from events_with_a_time
    union all
    select
        pseudonym,
        is_visitor,
        device_key,
        source,
        requested_at,
        requested_on,
        route,
        device_class,
        ends_on
    from log_rows

)

select * from requests
