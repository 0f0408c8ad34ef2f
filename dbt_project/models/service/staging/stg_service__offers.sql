with source as (

    select * from {{ source('service', 'offers') }}

),

renamed as (

    select
        offer_key,
        pseudonym,
        item_category,
        size,
        price_eur,
        status,
        paris_day as created_on,
        ends_on
    from source

)

select * from renamed
