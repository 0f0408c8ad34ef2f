with usage_events as (

    select * from {{ ref('stg_improvement__usage_events') }}

),

-- of days that are over. Who is not logged in is counted as a visitor, by the pseudonym of the device
usage_of_days as (

    select
        occurred_on,
        event_type,
        coalesce(device_class, 'unknown') as device_class,
        coalesce(pseudonym, device_key) as member
    from usage_events
    where occurred_on < {{ as_of() }} and coalesce(pseudonym, device_key) is not null

)

select * from usage_of_days
