with usage_of_days as (

    select * from {{ ref('int_improvement__usage') }}

),

{{ shown_cells('usage_of_days', ['occurred_on'], 'event_type') }}

select * from shown_cells
