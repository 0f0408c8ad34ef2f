with usage_of_days as (

    select * from {{ ref('int_improvement__usage') }}

),

event_type_cells as (

    select * from {{ ref('int_improvement__event_type_cells') }}

),

{{ shown_cells('usage_of_days', ['occurred_on', 'event_type'], 'device_class') }},

{{ shown_totals('usage_of_days', ['occurred_on', 'event_type']) }},

-- an event type that is left out would be the sum of its devices; and where the two cannot both be shown,
-- the event type is: the day's total is the sum of those
device_class_cells as (

    select
        shown_cells.occurred_on,
        shown_cells.event_type,
        shown_cells.device_class,
        shown_cells.member_count
    from shown_cells
    inner join event_type_cells
        on
            shown_cells.occurred_on = event_type_cells.occurred_on
            and shown_cells.event_type = event_type_cells.event_type
    inner join shown_totals
        on
            shown_cells.occurred_on = shown_totals.occurred_on
            and shown_cells.event_type = shown_totals.event_type

)

select * from device_class_cells
