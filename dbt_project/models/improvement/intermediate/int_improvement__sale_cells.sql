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

shown_sums as (

    select
        sold_on,
        sum(member_count) as member_count,
        count(sold_on) as cell_count
    from shown_cells
    group by sold_on

),

cell_counts as (

    select
        sold_on,
        count(sold_on) as cell_count
    from cells
    group by sold_on

),

-- a total is shown only if its published cells, subtracted from it, leave enough members as far as anybody can see
shown_totals as (

    select
        totals.sold_on,
        totals.item_category,
        totals.member_count
    from totals
    inner join cell_counts on totals.sold_on = cell_counts.sold_on
    left join shown_sums on totals.sold_on = shown_sums.sold_on
    where
        shown_sums.cell_count is null
        or shown_sums.cell_count = cell_counts.cell_count
        or totals.member_count < shown_sums.member_count
        or totals.member_count - shown_sums.member_count >= {{ cell() }}

),

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
    from shown_totals

)

select * from sale_cells
