with source as (

    select * from {{ source('security', 'transactions') }}

),

renamed as (

    select
        buyer,
        seller,
        price_eur,
        status,
        paris_day as started_on,
        card_key,
        ends_on
    from source

)

select * from renamed
