with members as (

    select * from {{ ref('stg_advertising__members') }}

),

forum_activity as (

    select * from {{ ref('int_advertising__forum_activity') }}

),

usage_activity as (

    select * from {{ ref('int_advertising__usage_activity') }}

),

ad_profiles as (

    select
        members.pseudonym,
        members.age_band,
        members.gender,
        members.registration_channel,
        greatest(date_diff('month', members.registered_month, {{ as_of() }}), 0) as tenure_months,
        coalesce(forum_activity.forum_post_count, 0) as forum_post_count,
        forum_activity.forum_top_category,
        coalesce(usage_activity.ad_event_count, 0) as ad_event_count,
        coalesce(usage_activity.ad_click_count, 0) as ad_click_count,
        coalesce(usage_activity.item_view_count, 0) as item_view_count,
        usage_activity.top_item_category,
        usage_activity.second_item_category,
        coalesce(usage_activity.usage_active_days, 0) as usage_active_days,
        usage_activity.main_device_class
    from members
    left join forum_activity on members.pseudonym = forum_activity.pseudonym
    left join usage_activity on members.pseudonym = usage_activity.pseudonym

)

select * from ad_profiles
