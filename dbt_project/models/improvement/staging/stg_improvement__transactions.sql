with source as (

    select * from {{ source('improvement', 'transactions') }}

),

renamed as (

    select
        buyer,
        seller,
        item_category,
        price_eur,
        status,
        paris_day as started_on,
        ends_on
    from source

)

select * from renamed
