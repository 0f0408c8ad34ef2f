with source as (

    select * from {{ source('advertising', 'consents') }}

),

renamed as (

    select
        pseudonym,
        kind,
        paris_day as recorded_on,
        ends_on
    from source
    where pseudonym is not null and {{ alive('ends_on') }}

)

select * from renamed
