with usage_of_days as (

    select * from {{ ref('int_improvement__usage') }}

),

{{ shown_cells('usage_of_days', ['occurred_on'], 'event_type') }},

{{ shown_totals('usage_of_days', ['occurred_on']) }},

event_type_cells as (

    select
        occurred_on,
        event_type,
        member_count
    from shown_cells
    union all
    select
        occurred_on,
        'all' as event_type,
        member_count
    from shown_totals

)

select * from event_type_cells
