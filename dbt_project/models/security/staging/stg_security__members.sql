with source as (

    select * from {{ source('security', 'members') }}

),

renamed as (

    select
        pseudonym,
        registration_channel,
        registered_month
    from source

)

select * from renamed
