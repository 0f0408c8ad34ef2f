with source as (

    select * from {{ source('service', 'transactions') }}

),

renamed as (

    select
        pseudonym,
        offer_key,
        item_category,
        price_eur,
        status,
        paris_day as started_on,
        ends_on
    from source

)

select * from renamed
