with event_type_cells as (

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

)

select * from usage_cells
