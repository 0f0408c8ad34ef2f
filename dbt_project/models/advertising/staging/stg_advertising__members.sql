with source as (

    select * from {{ source('advertising', 'members') }}

),

renamed as (

    select
        pseudonym,
        registration_channel,
        registered_month,
        gender,
        age_band,
        last_active_month
    from source

)

select * from renamed
