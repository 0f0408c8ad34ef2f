with source as (

    select * from {{ source('security', 'access_logs') }}

),

-- a log row is access data as a whole: a due one is left out even if the zone still held it (C-10.1)
renamed as (

    select
        ip,
        pseudonym,
        requested_at,
        method,
        route,
        status,
        browser,
        paris_day as requested_on,
        ends_on
    from source
    where {{ alive('ends_on') }}

)

select * from renamed
