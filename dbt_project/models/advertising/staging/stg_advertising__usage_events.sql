with source as (

    select * from {{ source('advertising', 'usage_events') }}

),

-- the device class comes from access data: it ends 30 days after its day, the event itself does not (C-10.1)
renamed as (

    select
        pseudonym,
        device_key,
        paris_day as occurred_on,
        event_type,
        item_category,
        case when {{ access_data_alive('paris_day') }} then device_class end as device_class,
        ends_on,
        values_end_on
    from source
    where pseudonym is not null

)

select * from renamed
