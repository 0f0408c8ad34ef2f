with forum_posts as (

    select * from {{ ref('stg_advertising__forum_posts') }}

),

category_counts as (

    select
        pseudonym,
        forum_category,
        count(posted_on) as post_count
    from forum_posts
    group by pseudonym, forum_category

),

-- equal counts are decided by name, so that the same facts always give the same profile
top_categories as (

    select
        pseudonym,
        forum_category as forum_top_category
    from category_counts
    qualify row_number() over (partition by pseudonym order by post_count desc, forum_category asc) = 1

),

totals as (

    select
        pseudonym,
        count(distinct posted_on) as forum_active_days,
        min(ends_on) as ends_on
    from forum_posts
    group by pseudonym

),

forum_activity as (

    select
        totals.pseudonym,
        totals.forum_active_days,
        top_categories.forum_top_category,
        totals.ends_on
    from totals
    inner join top_categories on totals.pseudonym = top_categories.pseudonym

)

select * from forum_activity
