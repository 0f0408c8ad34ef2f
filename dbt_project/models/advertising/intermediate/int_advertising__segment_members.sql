-- a table, because sizes, overlaps and audience are made from it
{{ config(materialized='table') }}

with profiles as (

    select * from {{ ref('int_advertising__profiles') }}

),

rules as (

    select * from {{ ref('ad_segment_rules') }}

),

rule_counts as (

    select
        segment,
        count(column_name) as rule_count
    from rules
    group by segment

),

-- each column by its name, written out: lineage sees from which columns a segment may be made, a rule can name no other
facts as (

    select
        pseudonym,
        'age_band' as column_name,
        age_band as column_value
    from profiles
    union all
    select
        pseudonym,
        'gender' as column_name,
        gender as column_value
    from profiles
    union all
    select
        pseudonym,
        'last_active' as column_name,
        last_active as column_value
    from profiles
    union all
    select
        pseudonym,
        'tenure' as column_name,
        tenure as column_value
    from profiles
    union all
    select
        pseudonym,
        'forum_activity' as column_name,
        forum_activity as column_value
    from profiles
    union all
    select
        pseudonym,
        'main_device_class' as column_name,
        main_device_class as column_value
    from profiles
    union all
    select
        pseudonym,
        'forum_top_category' as column_name,
        forum_top_category as column_value
    from profiles
    union all
    select
        pseudonym,
        'registration_channel' as column_name,
        registration_channel as column_value
    from profiles
    union all
    select
        pseudonym,
        'top_item_category' as column_name,
        top_item_category as column_value
    from profiles
    union all
    select
        pseudonym,
        'second_item_category' as column_name,
        second_item_category as column_value
    from profiles
    union all
    select
        pseudonym,
        'item_views' as column_name,
        item_views as column_value
    from profiles
    union all
    select
        pseudonym,
        'ad_views' as column_name,
        ad_views as column_value
    from profiles
    union all
    select
        pseudonym,
        'ad_clicks' as column_name,
        ad_clicks as column_value
    from profiles

),

-- a value stands for itself, or for each of those between the bars: 'shoes|hats'
holding as (

    select
        facts.pseudonym,
        rules.segment
    from facts
    inner join rules on facts.column_name = rules.column_name
    where
        case rules.operator
            when 'is' then list_contains(string_split(rules.column_value, '|'), facts.column_value)
            when 'is_not' then not list_contains(string_split(rules.column_value, '|'), facts.column_value)
            else false
        end

),

held_counts as (

    select
        pseudonym,
        segment,
        count(segment) as held_count
    from holding
    group by pseudonym, segment

),

-- all rules of a segment must hold
segment_members as (

    select
        held_counts.pseudonym,
        held_counts.segment
    from held_counts
    inner join rule_counts on held_counts.segment = rule_counts.segment
    where held_counts.held_count = rule_counts.rule_count

)

select * from segment_members
