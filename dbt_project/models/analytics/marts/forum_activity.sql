with forum_posts as (

    select * from {{ ref('stg_analytics__forum_posts') }}

),

-- months that are over: in one that is not, each build would show what one member wrote since the last
posts as (

    select
        pseudonym,
        forum_category,
        posted_on,
        date_trunc('month', posted_on)::date as posted_month
    from forum_posts
    where posted_on < date_trunc('month', {{ as_of() }})

),

months as (

    select
        posted_month,
        count(posted_on) as post_count,
        count(distinct pseudonym) as member_count
    from posts
    group by posted_month

),

topics as (

    select
        posted_month,
        forum_category,
        count(posted_on) as post_count,
        count(distinct pseudonym) as member_count
    from posts
    group by posted_month, forum_category

),

-- small: too few members in it, or too few of its month outside it
judged as (

    select
        topics.posted_month,
        topics.forum_category,
        topics.post_count,
        topics.member_count,
        topics.member_count < {{ cell() }}
        or months.member_count - topics.member_count between 1 and {{ cell() }} - 1 as is_small
    from topics
    inner join months on topics.posted_month = months.posted_month

),

-- C-10.7: if a topic of a month is hidden, the least of the others is hidden as well, so that the month's total less
-- what is shown is never a figure about fewer than a cell of members
ranked as (

    select
        posted_month,
        forum_category,
        post_count,
        member_count,
        is_small,
        bool_or(is_small) over (partition by posted_month) as month_hides,
        row_number() over (
            partition by posted_month, is_small
            order by member_count asc, forum_category asc
        ) as place
    from judged

),

shown as (

    select
        posted_month,
        forum_category,
        post_count,
        member_count
    from ranked
    where not is_small and not (month_hides and place = 1)

),

forum_activity as (

    select
        posted_month,
        forum_category,
        post_count,
        member_count
    from shown
    union all
    select
        posted_month,
        'all' as forum_category,
        post_count,
        member_count
    from months
    where member_count >= {{ cell() }}

)

select * from forum_activity
