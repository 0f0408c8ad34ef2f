with transactions as (

    select * from {{ ref('stg_improvement__transactions') }}

),

-- of days that are over; what was not paid, or called off, is no sale. 'all' is the word of the totals
sales as (

    select
        buyer,
        seller,
        started_on as sold_on,
        price_eur,
        case when item_category = 'all' then 'other' else item_category end as item_category
    from transactions
    where started_on < {{ as_of() }} and status in ('paid', 'shipped', 'completed', 'disputed')

)

select * from sales
