with source as (

    select * from {{ source('advertising', 'usage_events') }}

),

-- the device class comes from access data and ends before the event (C-10.1): whoever uses it asks for values_end_on
renamed as (

    select
        pseudonym,
        device_key,
        paris_day as occurred_on,
        event_type,
        item_category,
        device_class,
        ends_on,
        values_end_on
    from source
    where pseudonym is not null and {{ alive('ends_on') }}

)

select * from renamed
