with usage_events as (

    select * from {{ ref('stg_analytics__usage_events') }}

),

item_category_counts as (

    select
        pseudonym,
        item_category,
        count(*) as event_count
    from usage_events
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
        count(*) as event_count
    from usage_events
    where device_class is not null
    group by pseudonym, device_class

),

main_device_classes as (

    select
        pseudonym,
        device_class as main_device_class
    from device_class_counts
    qualify row_number() over (partition by pseudonym order by event_count desc, device_class asc) = 1

),

-- rows are counted by their day, which is never empty: count(*) would show lineage no dataset
totals as (

    select
        pseudonym,
        count(occurred_on) as usage_event_count,
        count(distinct occurred_on) as usage_active_days,
        count(distinct device_key) as device_count
    from usage_events
    group by pseudonym

),

usage_activity as (

    select
        totals.pseudonym,
        totals.usage_event_count,
        totals.usage_active_days,
        totals.device_count,
        main_device_classes.main_device_class,
        top_item_categories.top_item_category
    from totals
    left join main_device_classes on totals.pseudonym = main_device_classes.pseudonym
    left join top_item_categories on totals.pseudonym = top_item_categories.pseudonym

)

select * from usage_activity
