with source as (

    select * from {{ source('analytics', 'usage_events') }}

),

-- visitors' events are here, too: they have no pseudonym of a member, only their device's own. Time, route and device
-- class end before the event does (C-10.1): whoever uses them asks for values_end_on
renamed as (

    select
        pseudonym,
        device_key,
        occurred_at,
        event_type,
        item_category,
        route,
        device_class,
        paris_day as occurred_on,
        ends_on,
        values_end_on
    from source
    where {{ alive('ends_on') }}

)

select * from renamed
