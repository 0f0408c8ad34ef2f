with sale_members as (

    select * from {{ ref('int_improvement__sale_members') }}

),

totals as (

    select
        sold_on,
        'all' as item_category,
        count(distinct member) as member_count
    from sale_members
    group by sold_on
    having count(distinct member) >= {{ cell() }}

),

{{ shown_cells('sale_members', ['sold_on'], 'item_category') }},

sale_cells as (

    select
        sold_on,
        item_category,
        member_count
    from shown_cells
    union all
    select
        sold_on,
        item_category,
        member_count
    from totals

)

select * from sale_cells
