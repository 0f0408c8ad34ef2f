with members as (

    select * from {{ ref('stg_analytics__members') }}

),

forum_activity as (

    select * from {{ ref('int_analytics__forum_activity') }}

),

usage_activity as (

    select * from {{ ref('int_analytics__usage_activity') }}

),

log_activity as (

    select * from {{ ref('int_analytics__log_activity') }}

),

-- in the order of importance: what the risk treatment must hide, it hides from the last column first
user_profiles as (

    select
        members.pseudonym,
        coalesce(members.age_band, 'unknown') as age_band,
        coalesce(members.gender, 'unknown') as gender,
        {{ recency_band('members.last_active_month') }} as last_active,
        {{ tenure_band('members.registered_month') }} as tenure,
        coalesce(members.region, 'unknown') as region,
        {{ count_band('forum_activity.forum_active_days', [1, 3, 10], ' days') }} as forum_activity,
        coalesce(usage_activity.main_device_class, 'unknown') as main_device_class,
        coalesce(forum_activity.forum_top_category, 'none') as forum_top_category,
        members.registration_channel,
        coalesce(usage_activity.top_item_category, 'none') as top_item_category,
        coalesce(usage_activity.usage_event_count, 0) as usage_event_count,
        coalesce(usage_activity.device_count, 0) as device_count,
        -- no zero here: without consent there are no log rows, and "not known" must not read as "never came"
        log_activity.log_request_count_30d,
        least(forum_activity.ends_on, usage_activity.ends_on, log_activity.ends_on) as ends_on
    from members
    left join forum_activity on members.pseudonym = forum_activity.pseudonym
    left join usage_activity on members.pseudonym = usage_activity.pseudonym
    left join log_activity on members.pseudonym = log_activity.pseudonym

)

select * from user_profiles
