with source as (

    select * from {{ source('analytics', 'usage_events') }}

),

-- device class and route come from access data: they end 30 days after their day, the event itself does not (C-10.1)
renamed as (

    select
        pseudonym,
        device_key,
        case when {{ access_data_alive('paris_day') }} then occurred_at end as occurred_at,
        event_type,
        item_category,
        case when {{ access_data_alive('paris_day') }} then route end as route,
        case when {{ access_data_alive('paris_day') }} then device_class end as device_class,
        paris_day as occurred_on,
        ends_on,
        values_end_on
    from source
    where pseudonym is not null

)

select * from renamed
