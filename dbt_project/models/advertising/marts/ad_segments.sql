with definitions as (

    select * from {{ ref('ad_segment_definitions') }}

),

profiles as (

    select * from {{ ref('int_advertising__profiles') }}

),

segment_members as (

    select * from {{ ref('int_advertising__segment_members') }}

),

everybody as (

    select count(pseudonym) as member_count from profiles

),

sizes as (

    select
        segment,
        count(pseudonym) as member_count
    from segment_members
    group by segment

),

shared_members as (

    select
        narrower.segment,
        wider.segment as other_segment,
        count(narrower.pseudonym) as shared_count
    from segment_members as narrower
    inner join segment_members as wider on narrower.pseudonym = wider.pseudonym
    where narrower.segment <> wider.segment
    group by narrower.segment, wider.segment

),

-- one that lies wholly within another: their difference is a group of its own
nested as (

    select
        shared_members.segment,
        min(wider_sizes.member_count - sizes.member_count) as least_difference
    from shared_members
    inner join sizes on shared_members.segment = sizes.segment
    inner join sizes as wider_sizes on shared_members.other_segment = wider_sizes.segment
    where
        shared_members.shared_count = sizes.member_count
        and wider_sizes.member_count > sizes.member_count
    group by shared_members.segment

),

-- C-10.7: refused if too few are in it, or if what another segment, or everybody, has beyond it is too few
judged as (

    select
        definitions.segment,
        definitions.priority,
        definitions.template,
        definitions.description,
        coalesce(sizes.member_count, 0) as member_count,
        case
            when coalesce(sizes.member_count, 0) < {{ cell() }} then 'too few members'
            when nested.least_difference < {{ cell() }} then 'too close to another segment'
            when everybody.member_count - sizes.member_count between 1 and {{ cell() }} - 1
                then 'too close to everybody'
            else 'none'
        end as refusal
    from definitions
    cross join everybody
    left join sizes on definitions.segment = sizes.segment
    left join nested on definitions.segment = nested.segment

),

told as (

    select
        segment,
        refusal,
        priority,
        template,
        description,
        refusal = 'none' as is_usable,
        case when refusal = 'none' then member_count end as member_count
    from judged

),

ad_segments as (

    select
        segment,
        is_usable,
        member_count,
        refusal,
        priority,
        template,
        description
    from told

)

select * from ad_segments
