with usage_events as (

    select * from {{ ref('stg_analytics__usage_events') }}

),

-- a visitor's events make no profile: they are nobody's yet, and are never joined to a member later
member_events as (

    select
        pseudonym,
        device_key,
        event_type,
        item_category,
        device_class,
        ends_on,
        values_end_on
    from usage_events
    where pseudonym is not null

),

item_category_counts as (

    select
        pseudonym,
        item_category,
        count(event_type) as event_count
    from member_events
    where item_category is not null
    group by pseudonym, item_category

),

-- equal counts are decided by name, so that the same facts always give the same profile
top_item_categories as (

    select
        pseudonym,
        item_category as top_item_category
    from item_category_counts
    qualify row_number() over (partition by pseudonym order by event_count desc, item_category asc) = 1

),

device_class_counts as (

    select
        pseudonym,
        device_class,
        count(event_type) as event_count,
        min(values_end_on) as ends_on
    from member_events
    where device_class is not null and {{ alive('values_end_on') }}
    group by pseudonym, device_class

),

-- that it is the main one follows from all of them, so it ends with the first of them (C-10.1)
main_device_classes as (

    select
        pseudonym,
        device_class as main_device_class,
        min(ends_on) over (partition by pseudonym) as ends_on
    from device_class_counts
    qualify row_number() over (partition by pseudonym order by event_count desc, device_class asc) = 1

),

totals as (

    select
        pseudonym,
        count(event_type) as usage_event_count,
        count(distinct device_key) as device_count,
        min(ends_on) as ends_on
    from member_events
    group by pseudonym

),

usage_activity as (

    select
        totals.pseudonym,
        totals.usage_event_count,
        totals.device_count,
        main_device_classes.main_device_class,
        top_item_categories.top_item_category,
        least(totals.ends_on, main_device_classes.ends_on) as ends_on
    from totals
    left join main_device_classes on totals.pseudonym = main_device_classes.pseudonym
    left join top_item_categories on totals.pseudonym = top_item_categories.pseudonym

)

select * from usage_activity
