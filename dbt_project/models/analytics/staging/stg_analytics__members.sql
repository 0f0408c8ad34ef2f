with source as (

    select * from {{ source('analytics', 'members') }}

),

renamed as (

    select
        pseudonym,
        registration_channel,
        registered_month,
        gender,
        age_band,
        has_picture,
        region,
        last_active_month
    from source

)

select * from renamed
