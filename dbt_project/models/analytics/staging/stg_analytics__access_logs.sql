with source as (

    select * from {{ source('analytics', 'access_logs') }}

),

-- a log row is access data as a whole: a due one is left out even if the zone still held it (C-10.1)
renamed as (

    select
        pseudonym,
        paris_day as requested_on,
        route,
        device_class
    from source
    where pseudonym is not null and {{ access_data_alive('paris_day') }}

)

select * from renamed
