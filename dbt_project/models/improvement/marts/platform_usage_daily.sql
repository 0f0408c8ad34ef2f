with usage_of_days as (

    select * from {{ ref('int_improvement__usage') }}

),

usage_cells as (

    select * from {{ ref('int_improvement__usage_cells') }}

),

counted as (

    select
        occurred_on,
        event_type,
        device_class,
        count(occurred_on) as event_count
    from usage_of_days
    group by occurred_on, event_type, device_class
    union all
    select
        occurred_on,
        event_type,
        'all' as device_class,
        count(occurred_on) as event_count
    from usage_of_days
    group by occurred_on, event_type
    union all
    select
        occurred_on,
        'all' as event_type,
        'all' as device_class,
        count(occurred_on) as event_count
    from usage_of_days
    group by occurred_on

),

platform_usage_daily as (

    select
        counted.occurred_on,
        counted.event_type,
        counted.device_class,
        counted.event_count,
        usage_cells.member_count
    from counted
    inner join usage_cells
        on
            counted.occurred_on = usage_cells.occurred_on
            and counted.event_type = usage_cells.event_type
            and counted.device_class = usage_cells.device_class

)

select * from platform_usage_daily
