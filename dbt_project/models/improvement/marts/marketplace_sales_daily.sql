with sales as (

    select * from {{ ref('int_improvement__sales') }}

),

sale_cells as (

    select * from {{ ref('int_improvement__sale_cells') }}

),

by_category as (

    select
        sold_on,
        item_category,
        count(sold_on) as sale_count,
        sum(price_eur) as revenue_eur
    from sales
    group by sold_on, item_category

),

by_day as (

    select
        sold_on,
        'all' as item_category,
        count(sold_on) as sale_count,
        sum(price_eur) as revenue_eur
    from sales
    group by sold_on

),

summed as (

    select
        sold_on,
        item_category,
        sale_count,
        revenue_eur
    from by_category
    union all
    select
        sold_on,
        item_category,
        sale_count,
        revenue_eur
    from by_day

),

averaged as (

    select
        sold_on,
        item_category,
        sale_count,
        revenue_eur::decimal(18, 2) as revenue_eur,
        (revenue_eur / sale_count)::decimal(12, 2) as average_price_eur
    from summed

),

marketplace_sales_daily as (

    select
        averaged.sold_on,
        averaged.item_category,
        averaged.sale_count,
        averaged.revenue_eur,
        averaged.average_price_eur,
        sale_cells.member_count
    from averaged
    inner join sale_cells on averaged.sold_on = sale_cells.sold_on and averaged.item_category = sale_cells.item_category

)

select * from marketplace_sales_daily
