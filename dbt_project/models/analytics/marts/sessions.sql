with requests as (

    select * from {{ ref('int_analytics__requests') }}

),

-- two devices used at once are two sessions: a device is known by its pseudonym where there is functional consent, else
-- by its kind
described as (

    select
        pseudonym,
        is_visitor,
        device_key,
        source,
        requested_at,
        requested_on,
        ends_on,
        coalesce(route, 'unknown') as route,
        coalesce(device_class, 'unknown') as device_class
    from requests

),

-- 1 where a request begins a session: the first one, and each after more than 30 minutes without any
marked as (

    select
        pseudonym,
        is_visitor,
        device_key,
        source,
        requested_at,
        requested_on,
        ends_on,
        route,
        device_class,
        case
            when requested_at <= lag(requested_at) over (
                partition by pseudonym, source, device_key, device_class
                order by requested_at asc
            ) + interval '30 minutes' then 0
            else 1
        end as begins
    from described

),

-- requests of one instant are peers, so all of them get the same number
numbered as (

    select
        pseudonym,
        is_visitor,
        device_key,
        source,
        requested_at,
        requested_on,
        ends_on,
        route,
        device_class,
        sum(begins) over (
            partition by pseudonym, source, device_key, device_class
            order by requested_at asc
        ) as session_number
    from marked

),

grouped as (

    select
        pseudonym,
        is_visitor,
        source,
        device_class,
        min(requested_on) as started_on,
        min(requested_at) as started_at,
        date_diff('second', min(requested_at), max(requested_at)) as seconds,
        count(route) as page_count,
        -- the first and last by time, of one instant by name
        arg_min(route, (requested_at, route)) as entry_route,
        arg_max(route, (requested_at, route)) as exit_route,
        min(ends_on) as ends_on
    from numbered
    group by pseudonym, is_visitor, source, device_key, device_class, session_number

),

banded as (

    select
        pseudonym,
        is_visitor,
        source,
        device_class,
        page_count,
        entry_route,
        exit_route,
        ends_on,
        case when device_class = 'bot' then 'bot' else 'browser' end as agent,
        strftime(started_on, '%G-W%V') as started_week,
        dayname(started_on) as started_weekday,
        case
            when extract('hour' from started_at) < 6 then 'night'
            when extract('hour' from started_at) < 12 then 'morning'
            when extract('hour' from started_at) < 18 then 'afternoon'
            else 'evening'
        end as started_part_of_day,
        case
            when seconds = 0 then 'none'
            when seconds < 60 then 'under 1 minute'
            when seconds < 600 then '1-9 minutes'
            when seconds < 1800 then '10-29 minutes'
            else '30 minutes or more'
        end as duration
    from grouped

),

-- in the order of importance: what the risk treatment must hide, it hides from the last column first
sessions as (

    select
        pseudonym,
        is_visitor,
        source,
        agent,
        started_week,
        device_class,
        duration,
        started_part_of_day,
        started_weekday,
        page_count,
        entry_route,
        exit_route,
        ends_on
    from banded

)

select * from sessions
