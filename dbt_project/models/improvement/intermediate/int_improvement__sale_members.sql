with sales as (

    select * from {{ ref('int_improvement__sales') }}

),

-- both parties of a sale are in its cell
sale_members as (

    select
        sold_on,
        item_category,
        buyer as member
    from sales
    where buyer is not null
    union all
    select
        sold_on,
        item_category,
        seller as member
    from sales
    where seller is not null

)

select * from sale_members
