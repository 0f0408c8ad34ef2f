with source as (

    select * from {{ source('analytics', 'access_logs') }}

),

-- a log row is access data as a whole: a due one is left out even if the zone still held it (C-10.1)
renamed as (

    select
        pseudonym,
        requested_at,
        route,
        device_class,
        paris_day as requested_on,
        ends_on
    from source
    where pseudonym is not null and {{ alive('ends_on') }}

)

select * from renamed
