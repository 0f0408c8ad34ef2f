with transactions as (

    select * from {{ ref('stg_service__transactions') }}

),

offers as (

    select * from {{ ref('stg_service__offers') }}

),

-- a size is text that a seller wrote: only sizes that many garments have pass, whatever else stands there
sizes as (

    select
        offer_key,
        case
            when regexp_full_match(upper(trim(size)), 'XXS|XS|S|M|L|XL|XXL|XXXL|3[2-9]|4[0-9]|5[0-4]')
                then upper(trim(size))
        end as size
    from offers

),

purchases as (

    select
        transactions.pseudonym,
        transactions.item_category,
        transactions.price_eur,
        transactions.started_on,
        sizes.size,
        transactions.ends_on
    from transactions
    left join sizes on transactions.offer_key = sizes.offer_key
    where transactions.status in ('paid', 'shipped', 'completed')

)

select * from purchases
