with source as (

    select * from {{ source('improvement', 'usage_events') }}

),

-- device class and route come from access data: they end 30 days after their day, the event itself does not (C-10.1)
renamed as (

    select
        device_key,
        pseudonym,
        event_type,
        case when {{ alive('values_end_on') }} then route end as route,
        case when {{ alive('values_end_on') }} then device_class end as device_class,
        paris_day as occurred_on,
        ends_on,
        values_end_on
    from source

)

select * from renamed
