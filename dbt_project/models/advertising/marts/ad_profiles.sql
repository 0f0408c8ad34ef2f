with profiles as (

    select * from {{ ref('int_advertising__profiles') }}

),

-- in the order of importance: what the risk treatment must hide, it hides from the last column first
ad_profiles as (

    select
        pseudonym,
        age_band,
        gender,
        last_active,
        tenure,
        forum_activity,
        main_device_class,
        forum_top_category,
        registration_channel,
        top_item_category,
        second_item_category,
        item_views,
        ad_views,
        ad_clicks,
        ends_on
    from profiles

)

select * from ad_profiles
