with source as (

    select * from {{ source('service', 'locations') }}

),

-- a place is there for its day; a due one is left out even if the zone still held it (C-2.7)
renamed as (

    select
        device_key,
        pseudonym,
        latitude_degree,
        longitude_degree,
        paris_day as fixed_on,
        ends_on
    from source
    where {{ alive('ends_on') }}

)

select * from renamed
