with usage_events as (

    select * from {{ ref('stg_advertising__usage_events') }}

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
ranked_item_categories as (

    select
        pseudonym,
        item_category,
        row_number() over (partition by pseudonym order by event_count desc, item_category asc) as category_rank
    from item_category_counts

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
        count(occurred_on) filter (where event_type = 'ad_view') as ad_event_count,
        count(occurred_on) filter (where event_type = 'ad_click') as ad_click_count,
        count(occurred_on) filter (where event_type = 'item_view') as item_view_count,
        count(distinct occurred_on) as usage_active_days
    from usage_events
    group by pseudonym

),

usage_activity as (

    select
        totals.pseudonym,
        totals.ad_event_count,
        totals.ad_click_count,
        totals.item_view_count,
        first_choices.item_category as top_item_category,
        second_choices.item_category as second_item_category,
        totals.usage_active_days,
        main_device_classes.main_device_class
    from totals
    left join ranked_item_categories as first_choices
        on totals.pseudonym = first_choices.pseudonym and first_choices.category_rank = 1
    left join ranked_item_categories as second_choices
        on totals.pseudonym = second_choices.pseudonym and second_choices.category_rank = 2
    left join main_device_classes on totals.pseudonym = main_device_classes.pseudonym

)

select * from usage_activity
