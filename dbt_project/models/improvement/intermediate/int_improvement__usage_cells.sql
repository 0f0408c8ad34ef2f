with usage_of_days as (

    select * from {{ ref('int_improvement__usage') }}

),

event_type_cells as (

    select * from {{ ref('int_improvement__event_type_cells') }}

),

device_class_cells as (

    select * from {{ ref('int_improvement__device_class_cells') }}

),

usage_cells as (

    select
        occurred_on,
        event_type,
        device_class,
        member_count
    from device_class_cells
    union all
    select
        occurred_on,
        event_type,
        'all' as device_class,
        member_count
    from event_type_cells
    union all
    select
        occurred_on,
        'all' as event_type,
        'all' as device_class,
        count(distinct member) as member_count
    from usage_of_days
    group by occurred_on
    having count(distinct member) >= {{ cell() }}

)

select * from usage_cells
