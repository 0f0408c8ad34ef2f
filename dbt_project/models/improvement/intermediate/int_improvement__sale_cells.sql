with sale_members as (

    select * from {{ ref('int_improvement__sale_members') }}

),

{{ shown_cells('sale_members', ['sold_on'], 'item_category') }},

{{ shown_totals('sale_members', ['sold_on']) }},

sale_cells as (

    select
        sold_on,
        item_category,
        member_count
    from shown_cells
    union all
    select
        sold_on,
        'all' as item_category,
        member_count
    from shown_totals

)

select * from sale_cells
