-- a table, because segments and audience are made from it, too: of what is known, not of what the profile may show
{{ config(materialized='table') }}

with members as (

    select * from {{ ref('stg_advertising__members') }}

),

forum_activity as (

    select * from {{ ref('int_advertising__forum_activity') }}

),

usage_activity as (

    select * from {{ ref('int_advertising__usage_activity') }}

),

profiles as (

    select
        members.pseudonym,
        coalesce(members.age_band, 'unknown') as age_band,
        coalesce(members.gender, 'unknown') as gender,
        {{ recency_band('members.last_active_month') }} as last_active,
        {{ tenure_band('members.registered_month') }} as tenure,
        {{ count_band('forum_activity.forum_active_days', [1, 3, 10], ' days') }} as forum_activity,
        coalesce(usage_activity.main_device_class, 'unknown') as main_device_class,
        coalesce(forum_activity.forum_top_category, 'none') as forum_top_category,
        members.registration_channel,
        coalesce(usage_activity.top_item_category, 'none') as top_item_category,
        coalesce(usage_activity.second_item_category, 'none') as second_item_category,
        {{ count_band('usage_activity.item_view_count', [1, 5, 20]) }} as item_views,
        {{ count_band('usage_activity.ad_view_count', [1, 5, 20]) }} as ad_views,
        {{ count_band('usage_activity.ad_click_count', [1, 3, 10]) }} as ad_clicks,
        least(forum_activity.ends_on, usage_activity.ends_on) as ends_on
    from members
    left join forum_activity on members.pseudonym = forum_activity.pseudonym
    left join usage_activity on members.pseudonym = usage_activity.pseudonym

)

select * from profiles
