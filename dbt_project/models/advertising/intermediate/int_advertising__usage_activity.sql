with usage_events as (

    select * from {{ ref('stg_advertising__usage_events') }}

),

item_category_counts as (

    select
        pseudonym,
        item_category,
        count(event_type) as event_count
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
        count(event_type) as event_count,
        min(values_end_on) as ends_on
    from usage_events
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
        count(event_type) filter (where event_type = 'ad_view') as ad_view_count,
        count(event_type) filter (where event_type = 'ad_click') as ad_click_count,
        count(event_type) filter (where event_type = 'item_view') as item_view_count,
        min(ends_on) as ends_on
    from usage_events
    group by pseudonym

),

usage_activity as (

    select
        totals.pseudonym,
        totals.ad_view_count,
        totals.ad_click_count,
        totals.item_view_count,
        first_choices.item_category as top_item_category,
        second_choices.item_category as second_item_category,
        main_device_classes.main_device_class,
        least(totals.ends_on, main_device_classes.ends_on) as ends_on
    from totals
    left join ranked_item_categories as first_choices
        on totals.pseudonym = first_choices.pseudonym and first_choices.category_rank = 1
    left join ranked_item_categories as second_choices
        on totals.pseudonym = second_choices.pseudonym and second_choices.category_rank = 2
    left join main_device_classes on totals.pseudonym = main_device_classes.pseudonym

)

select * from usage_activity
