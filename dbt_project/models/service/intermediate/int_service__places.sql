with locations as (

    select * from {{ ref('stg_service__locations') }}

),

-- the newest fix of any device of the member; of equal ones the same one always
newest as (

    select
        pseudonym,
        latitude_degree,
        longitude_degree,
        ends_on
    from locations
    qualify row_number() over (partition by pseudonym order by fixed_on desc, device_key asc) = 1

),

places as (

    select
        pseudonym,
        ends_on,
        concat(latitude_degree, ' N ', longitude_degree, ' E') as region
    from newest

)

select * from places
