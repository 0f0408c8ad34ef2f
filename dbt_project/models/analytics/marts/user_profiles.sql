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

user_profiles as (

    select
        members.pseudonym,
        members.age_band,
        members.gender,
        members.registration_channel,
        members.registered_month,
        greatest(date_diff('month', members.registered_month, {{ as_of() }}), 0) as tenure_months,
        members.has_picture,
        members.last_active_month,
        coalesce(forum_activity.forum_post_count, 0) as forum_post_count,
        coalesce(forum_activity.forum_active_days, 0) as forum_active_days,
        forum_activity.forum_top_category,
        forum_activity.last_forum_on,
        coalesce(usage_activity.usage_event_count, 0) as usage_event_count,
        coalesce(usage_activity.usage_active_days, 0) as usage_active_days,
        coalesce(usage_activity.device_count, 0) as device_count,
        usage_activity.main_device_class,
        usage_activity.top_item_category,
        -- no zero here: without consent there are no log rows, and "not known" must not read as "never came"
        log_activity.log_request_count_30d,
        log_activity.log_active_days_30d
    from members
    left join forum_activity on members.pseudonym = forum_activity.pseudonym
    left join usage_activity on members.pseudonym = usage_activity.pseudonym
    left join log_activity on members.pseudonym = log_activity.pseudonym

)

select * from user_profiles
