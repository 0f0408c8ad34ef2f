with usage_events as (

    select * from {{ ref('stg_analytics__usage_events') }}

),

access_logs as (

    select * from {{ ref('stg_analytics__access_logs') }}

),

acts as (

    select
        pseudonym,
        occurred_on as active_on,
        event_type,
        null::varchar as log_route,
        ends_on
    from usage_events
    where pseudonym is not null
    union all
    select
        pseudonym,
        requested_on as active_on,
        null::varchar as event_type,
        coalesce(route, 'unknown') as log_route,
        ends_on
    from access_logs

),

-- an event is counted by its kind and a log row by its route: count(*) would show lineage no dataset
member_activity_daily as (

    select
        pseudonym,
        active_on,
        count(event_type) as event_count,
        count(event_type) filter (where event_type = 'page_view') as page_view_count,
        count(event_type) filter (where event_type = 'search') as search_count,
        count(event_type) filter (where event_type = 'item_view') as item_view_count,
        count(event_type) filter (where event_type = 'favourite') as favourite_count,
        -- no zero here: without consent there are no log rows, and "not known" must not read as "never came"
        nullif(count(log_route), 0) as log_request_count,
        min(ends_on) as ends_on
    from acts
    group by pseudonym, active_on

)

select * from member_activity_daily
