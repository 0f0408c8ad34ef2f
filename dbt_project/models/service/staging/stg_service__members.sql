with source as (

    select * from {{ source('service', 'members') }}

),

renamed as (

    select
        pseudonym,
        gender,
        age_band
    from source

)

select * from renamed
