with source as (

    select * from {{ source('improvement', 'offers') }}

),

renamed as (

    select
        pseudonym,
        item_category,
        condition,
        price_eur,
        status,
        paris_day as created_on,
        ends_on
    from source

)

select * from renamed
